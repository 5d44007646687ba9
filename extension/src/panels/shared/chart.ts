// What plots are made of: scales, round ticks, colours that can be told apart on light and dark ground.

import { general } from "./format.ts";

export interface Scale {
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly { at: number; text: string }[];
  /** From a value to pixels. */
  to(value: number): number;
}

/** Round numbers between two, about so many; whole ones, where there is nothing between. */
export function roundTicks(low: number, high: number, about = 5, isWhole = false): number[] {
  if (!(high > low)) return [low];
  const rough = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const round = ([1, 2, 5, 10].find((one) => one * power >= rough) ?? 10) * power;
  const step = isWhole ? Math.max(1, round) : round;
  const found: number[] = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

/** From numbers to pixels; with `levels`, numbers are the places of these texts. */
export function scale(values: Iterable<number>, start: number, end: number, levels?: readonly string[]): Scale {
  let [low, high] = [Infinity, -Infinity];
  let isWhole = true;
  for (const one of values) {
    if (!Number.isFinite(one)) continue;
    isWhole &&= Number.isInteger(one);
    if (one < low) low = one;
    if (one > high) high = one;
  }
  if (low > high) [low, high] = [0, 1];
  if (low === high) [low, high] = [low - (Math.abs(low) || 1) * 0.5, high + (Math.abs(high) || 1) * 0.5];
  const pad = (high - low) * 0.04;
  const [from, to] = levels ? [low - 0.3, high + 0.3] : [low - pad, high + pad];
  const ticks = levels
    ? levels.map((text, at) => ({ at, text: text.length > 14 ? `${text.slice(0, 13)}…` : text })).slice(0, 20)
    : roundTicks(low, high, 5, isWhole).map((at) => ({ at, text: general(at, 4) }));
  return { low, high, ticks, to: (value) => start + ((value - from) / (to - from)) * (end - start) };
}

const COLOURS = ["#1f77b4", "#e6550d", "#2ca02c", "#9467bd", "#d62728", "#8c6d31", "#e377c2", "#17a2b8", "#7f8c1d", "#6b6ecf"];

/** The colour of the nth line. */
export function colour(at: number): string {
  return COLOURS[at % COLOURS.length] as string;
}

/** A canvas that is as fine as the screen, emptied; null where it has no size yet. */
export function pen(canvas: HTMLCanvasElement): CanvasRenderingContext2D | null {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (width === 0 || height === 0) return null;
  const fine = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * fine);
  canvas.height = Math.round(height * fine);
  const found = canvas.getContext("2d");
  found?.scale(fine, fine);
  return found;
}

/** A colour of the theme, as a canvas takes it. */
export function themed(element: Element, name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  element.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
