/** The frozen tables that the judge reads: fetched once, and the same bytes as Python's. */

export interface UnicodeTable {
  categories: Record<string, number[]>;
  combining: Record<string, number[]>;
  compositions: [number, number, number][];
  decompositions: number[][];
  fold: number[][];
  lower: number[][];
  unicode: string;
}

export interface Alias {
  words: string[];
  without: string[];
  name: string;
}

export interface Words {
  entities: {
    function_words: string[];
    titles: string[];
    name_starters: string[];
    demonyms: Record<string, string>;
    same_name: Record<string, string>;
    aliases: Alias[];
  };
  numbers: {
    cardinals: Record<string, number>;
    ordinals: Record<string, number>;
    scales: Record<string, number>;
    units: Record<string, string>;
    rates: Record<string, string[]>;
    months: Record<string, number>;
    weekdays: string[];
    before_pronoun: string[];
    after_pronoun: string[];
    before_time: string[];
    before_month: string[];
    word_and_month: string[];
  };
  polarity: {
    yes: string[];
    no: string[];
    negations: Record<string, string>;
    negatives: Record<string, string>;
    contractions: Record<string, string>;
    tails: Record<string, string>;
    before_is: string[];
    pasts: Record<string, string>;
    fillers: string[];
    after_no: string[];
  };
}

export interface Tables {
  unicode: UnicodeTable;
  words: Words;
  commonWords: string;
  vocabulary: string;
}

let loaded: Tables | null = null;

/** Give the judge its tables, before it is asked anything. */
export function useTables(tables: Tables): void {
  loaded = tables;
}

/** The tables in use. */
export function tables(): Tables {
  if (loaded === null) throw new Error("the judge's tables are not loaded");
  return loaded;
}

/** What `make` gives for the tables, worked out once. */
export function once<T>(make: (tables: Tables) => T): () => T {
  let kept: { value: T } | null = null;
  return () => (kept ??= { value: make(tables()) }).value;
}

/** An object's members as a map: names such as `constructor` are no members then. */
export function mapOf<T>(members: Record<string, T>): Map<string, T> {
  return new Map(Object.entries(members));
}
