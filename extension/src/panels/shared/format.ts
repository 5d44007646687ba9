// Values and times as the static tables of nbexp write them.

import { Special, type Value } from "./columns.ts";

export const DIGITS = 5;

/** A number with so many significant digits, as Python's format `g` writes it. */
export function general(value: number, digits = DIGITS): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (value === 0) return Object.is(value, -0) ? "-0" : "0";
  const [mantissa = "", power = "0"] = value.toExponential(digits - 1).split("e");
  const exponent = Number(power);
  if (exponent < -4 || exponent >= digits) {
    const sign = exponent < 0 ? "-" : "+";
    return `${stripped(mantissa)}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  return stripped(value.toFixed(Math.max(0, digits - 1 - exponent)));
}

function stripped(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** What a cell shows: one line, floats short, `-` for nothing and `!` for a file that cannot be read. */
export function cellText(value: Value, isWhole = false, digits = DIGITS): string {
  if (value === undefined || value === null) return "-";
  if (typeof value === "number") return isWhole ? String(value) : general(value, digits);
  if (typeof value === "boolean") return value ? "true" : "false";
  if (typeof value === "string") return printable(value) ? value : harmless(JSON.stringify(value));
  if (value instanceof Special) return value.kind === "error" ? "!" : value.text;
  return JSON.stringify(plain(value));
}

/** A value as JSON has it. */
export function plain(value: Value): unknown {
  if (value instanceof Special) return value.text;
  return Array.isArray(value) ? value.map(plain) : value;
}

// What markup.py takes for escape sequences of a terminal, and for controls: C0, C1, and what turns the direction of reading round.
const SEQUENCE = /\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])/g;
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
const CONTROLS = new RegExp(CONTROL, "g");

/** The text without what acts on whoever shows it: escape sequences are left out, other controls are spelled. */
export function harmless(text: string): string {
  if (!CONTROL.test(text)) return text;
  return text.replace(SEQUENCE, "").replaceAll("\r\n", "\n").replace(CONTROLS, (one) => {
    const code = one.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

function printable(text: string): boolean {
  return !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text);
}

/** Of today the clock, else the day. */
export function clock(seconds: number | undefined, now = new Date()): string {
  if (seconds === undefined) return "-";
  const at = new Date(seconds * 1000);
  if (at.toDateString() === now.toDateString()) return `${two(at.getHours())}:${two(at.getMinutes())}`;
  return moment(seconds).slice(0, 10);
}

/** The local time to the second. */
export function moment(seconds: number | undefined): string {
  if (seconds === undefined) return "";
  const at = new Date(seconds * 1000);
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

function two(number: number): string {
  return String(number).padStart(2, "0");
}

/** The keys of columns with as few of their dotted parts, from the end, as tell them apart: `lr` for `train.lr`; a key of two files has its title. */
export function short(columns: readonly { readonly key: string; readonly title: string }[]): string[] {
  const keys = columns.map((one) => one.key);
  return columns.map(({ key, title }) => {
    if (keys.indexOf(key) !== keys.lastIndexOf(key)) return title;
    const parts = key.split(".");
    const tails = parts.map((_, at) => parts.slice(at).join(".")).reverse();
    return tails.find((tail) => !keys.some((other) => other !== key && (other === tail || other.endsWith(`.${tail}`)))) ?? key;
  });
}
