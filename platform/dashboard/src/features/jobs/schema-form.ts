import type { JsonSchema } from "../../api/types";
import { words } from "../../shared/format";

/** A field of a form, as a recipe's JSON schema asks for it. */
export interface FormField {
  name: string;
  label: string;
  kind: "integer" | "number" | "choice" | "flag" | "numbers" | "text";
  description: string;
  fallback: unknown;
  choices: string[];
  min?: number;
  max?: number;
  required: boolean;
  /** The bounds in words: "above 0, at most 10". */
  bounds: string;
}

function resolve(schema: JsonSchema, root: JsonSchema): JsonSchema {
  if (schema.$ref) return { ...root.$defs?.[schema.$ref.split("/").at(-1) ?? ""], ...schema };
  const real = schema.anyOf?.filter((s) => s.type !== "null");
  return real?.length === 1 ? { ...real[0], ...schema, type: real[0]?.type } : schema;
}

function kindOf(schema: JsonSchema): FormField["kind"] {
  if (schema.enum) return "choice";
  if (schema.type === "integer" || schema.type === "number") return schema.type;
  if (schema.type === "boolean") return "flag";
  if (schema.type === "array" && ["integer", "number"].includes(schema.items?.type ?? "")) return "numbers";
  return "text";
}

function bounds(s: JsonSchema): string {
  const low = s.exclusiveMinimum !== undefined ? `above ${s.exclusiveMinimum}` : s.minimum !== undefined ? `at least ${s.minimum}` : "";
  const high = s.exclusiveMaximum !== undefined ? `below ${s.exclusiveMaximum}` : s.maximum !== undefined ? `at most ${s.maximum.toLocaleString("en-US")}` : "";
  return [low, high].filter(Boolean).join(", ");
}

export function fieldsOf(root: JsonSchema): FormField[] {
  return Object.entries(root.properties ?? {}).map(([name, raw]) => {
    const schema = resolve(raw, root);
    const label = words(name);
    return {
      name,
      label: label.charAt(0).toUpperCase() + label.slice(1),
      kind: kindOf(schema),
      description: schema.description ?? "",
      fallback: schema.default,
      choices: (schema.enum ?? []).map(String),
      min: schema.minimum ?? schema.exclusiveMinimum,
      max: schema.maximum ?? schema.exclusiveMaximum,
      required: root.required?.includes(name) ?? false,
      bounds: bounds(schema),
    };
  });
}

/** "64, 64" as numbers; what is no number stays as it was typed, for the API to name it. */
export function parseNumbers(text: string): unknown[] {
  return text
    .split(/[,\s]+/)
    .filter(Boolean)
    .map((part) => (Number.isFinite(Number(part)) ? Number(part) : part));
}

/** The message for a field: the API's pointer is `/params/hidden/0` for an element of `params.hidden`. */
export function errorAt(errors: readonly { pointer: string; message: string }[], pointer: string): string | undefined {
  return errors.find((e) => clean(e.pointer) === pointer || clean(e.pointer).startsWith(`${pointer}/`))?.message;
}

/** The errors that no field of the form stands for. */
export function unplaced<E extends { pointer: string }>(errors: readonly E[], pointers: readonly string[]): E[] {
  return errors.filter((e) => !pointers.some((p) => clean(e.pointer) === p || clean(e.pointer).startsWith(`${p}/`)));
}

/** FastAPI puts the kind of a discriminated union first: `/train/params/x`, `/body/train/params/x`. */
export const clean = (pointer: string): string => pointer.replace(/^#/, "").replace(/^\/body(?=\/)/, "").replace(/^\/(train|sweep)(?=\/)/, "");
