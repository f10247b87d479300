// Reads lists of recipients: pasted text, CSV, Excel. Text is read in portions, so that the browser stays at hand.

import Papa, { type Parser, type ParseResult } from "papaparse";
import type { Cell } from "./tables";

/** Characters that are read at a stretch: some hundredths of a second. */
const PORTION = 200_000;
const LARGEST = 64 * 1024 * 1024;

/** Why a file cannot be read, by the key of the words for it, and what these name. */
export class Unreadable extends Error {
  constructor(
    reason: string,
    readonly named: Record<string, unknown> = {},
  ) {
    super(reason);
  }
}

export async function readFile(file: File, onRows: (count: number) => void): Promise<Cell[][]> {
  if (file.size > LARGEST) throw new Unreadable("tooLarge");
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (begins(bytes, 0x50, 0x4b, 0x03, 0x04)) return readExcel(file); // a ZIP archive
  if (begins(bytes, 0xd0, 0xcf, 0x11, 0xe0)) throw new Unreadable("oldExcel"); // the format before 2007
  return readText(decoded(bytes), onRows);
}

const begins = (bytes: Uint8Array, ...magic: number[]): boolean => magic.every((byte, index) => bytes[index] === byte);

/** A file's text; Excel in China writes CSV as GB 18030 if it is not asked for UTF-8. */
function decoded(bytes: Uint8Array): string {
  if (begins(bytes, 0xff, 0xfe)) return new TextDecoder("utf-16le").decode(bytes);
  if (begins(bytes, 0xfe, 0xff)) return new TextDecoder("utf-16be").decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("gb18030").decode(bytes);
  }
}

/**
 * The rows of a text.
 *
 * Throws what is Unreadable: a cell that begins with a quotation mark ends with the next one, and where there is none, or
 * more text behind it, the rows that follow would be a part of the cell, and nobody would miss them.
 */
export function readText(text: string, onRows: (count: number) => void = () => undefined): Promise<string[][]> {
  const rows: string[][] = [];
  let from = 0; // where the portion begins
  return new Promise((resolve, reject) => {
    Papa.parse<string[]>(text, {
      skipEmptyLines: "greedy",
      chunkSize: PORTION,
      chunk({ data, errors, meta }: ParseResult<string[]>, parser: Parser) {
        const quote = errors.find(({ type }) => type === "Quotes");
        const at = from + (quote?.index ?? 0);
        // What a portion ends within is read again with the next one.
        if (quote !== undefined && (quote.code === "MissingQuotes" || at < meta.cursor)) {
          reject(new Unreadable("quotes", { line: text.slice(0, at).split(meta.linebreak).length }));
          parser.abort();
          return;
        }
        from = meta.cursor;
        for (const row of data) rows.push(row);
        onRows(rows.length);
        parser.pause();
        setTimeout(() => parser.resume());
      },
      complete: () => resolve(rows),
    });
  });
}

async function readExcel(file: File): Promise<Cell[][]> {
  // Loaded when it is needed: few tasks need it. It reads large files in workers.
  const { readSheet } = await import("read-excel-file/browser");
  try {
    const rows = await readSheet(file, { parseNumber: numberText });
    return rows.map((row) => row.map(excelText)).filter((row) => row.some((cell) => cell !== ""));
  } catch {
    throw new Unreadable("noExcel");
  }
}

/** A number as Excel shows it where no format says how: of what a formula gives it keeps fifteen digits. */
function numberText(stored: string): string {
  const number = Number(stored);
  return /^-?\d+$/.test(stored) || !Number.isFinite(number) ? stored : String(Number(number.toPrecision(15)));
}

const SECOND = 1_000;
const DAY = 86_400 * SECOND;
/** What Excel counts days from, and the day before which it counts them otherwise: it knows a 29 February 1900. */
const EPOCH = Date.UTC(1899, 11, 30);
const TRUE_DAYS = Date.UTC(1900, 2, 1);

/** A cell as it is read by people: a day without its midnight, a time or a duration without its day. */
function excelText(cell: unknown): string {
  if (!(cell instanceof Date)) return cell === null || cell === undefined ? "" : String(cell);
  // A part of a day is a number with fifteen digits, mostly a little less than the second that it means.
  const moment = Math.round(cell.getTime() / SECOND) * SECOND;
  const days = (moment - EPOCH) / DAY;
  if (moment >= TRUE_DAYS) return momentText(moment);
  return Number.isInteger(days) && days >= 1 ? momentText(moment + DAY) : durationText(moment - EPOCH);
}

const momentText = (moment: number): string =>
  new Date(moment).toISOString().replace(/T00:00:00\.000Z$/, "").replace("T", " ").slice(0, 19);

function durationText(duration: number): string {
  const seconds = Math.abs(duration) / SECOND;
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return (duration < 0 ? "-" : "") + parts.map((part) => String(part).padStart(2, "0")).join(":");
}
