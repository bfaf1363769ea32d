/** A chart of series over time, in the page's own colours. */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export interface Chart {
  show: (data: number[][]) => void;
  end: () => void;
}

const COLOURS = ["--accent", "--good", "--warn", "--bad"];

/** Draw into `place`, as wide as it is. */
export function plot(place: HTMLElement, names: string[], height = 150): Chart {
  const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = { stroke: () => colour("--soft"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false } };
  const options: uPlot.Options = {
    width: place.clientWidth || 300,
    height,
    legend: { show: true, live: false },
    cursor: { show: false },
    scales: { y: { range: (_, __, most) => [0, Math.max(4, most * 1.1)] } },
    axes: [{ ...axis, space: 96, values: (_, seconds) => seconds.map((second) => new Date(1000 * second).toLocaleTimeString()) }, { ...axis, size: 44 }],
    series: [{}, ...names.map((label, at) => ({ label, width: 2, points: { show: false }, stroke: () => colour(COLOURS[at]!) }))],
  };
  const chart = new uPlot(options, [[], ...names.map(() => [])] as unknown as uPlot.AlignedData, place);
  const watch = new ResizeObserver(() => chart.setSize({ width: place.clientWidth, height }));
  watch.observe(place);
  return {
    show: (data) => chart.setData(data as unknown as uPlot.AlignedData),
    end: () => {
      watch.disconnect();
      chart.destroy();
    },
  };
}
