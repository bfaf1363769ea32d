/** Exact decimals from the text of numbers: no floats, no big integers. */

const POSITIONAL_MAX = 40;
const EXPONENT_DIGITS_MAX = 9;
const WRITTEN = /^([-+]?)([0-9,]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?$/;

/** ± 0.`digits` × 10^`point`; zero has no digits and is not negative. */
export interface Decimal {
  isNegative: boolean;
  digits: string;
  point: number;
}

/** The number in `1,234.50`, `-.5` or `6e23`; null where it is none or its exponent is absurd. */
export function readDecimal(written: string): Decimal | null {
  const match = WRITTEN.exec(written);
  if (match === null) return null;
  const [sign, grouped, fraction, exponent] = [match[1] ?? "", match[2] ?? "", match[3] ?? "", match[4] ?? ""];
  if (exponent.length > EXPONENT_DIGITS_MAX || !(grouped + fraction)) return null;
  const whole = grouped.replaceAll(",", "");
  const leading = (whole + fraction).replace(/^0+/, "");
  const dropped = whole.length + fraction.length - leading.length;
  const digits = leading.replace(/0+$/, "");
  if (!digits) return { isNegative: false, digits: "", point: 0 };
  return { isNegative: sign === "-", digits, point: whole.length - dropped + Number(exponent || "0") };
}

/** A number × 10^`power`. */
export function shifted(number: Decimal, power: number): Decimal {
  return number.digits ? { ...number, point: number.point + power } : number;
}

/** The one way to write it: `1000`, `-0.5`, `0.6e60`. */
export function decimalText({ isNegative, digits, point }: Decimal): string {
  const sign = isNegative ? "-" : "";
  if (!digits) return "0";
  if (Math.max(Math.abs(point), digits.length - point) > POSITIONAL_MAX) return `${sign}0.${digits}e${point}`;
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${digits}`;
  if (point >= digits.length) return `${sign}${digits}${"0".repeat(point - digits.length)}`;
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** Whether one number is less than another, exactly. */
export function isLess(left: Decimal, right: Decimal): boolean {
  if (left.isNegative !== right.isNegative) return left.isNegative;
  return left.isNegative ? isSmaller(right, left) : isSmaller(left, right);
}

function isSmaller(left: Decimal, right: Decimal): boolean {
  if (!left.digits || !right.digits) return !left.digits && right.digits !== "";
  if (left.point !== right.point) return left.point < right.point;
  return left.digits < right.digits;
}
