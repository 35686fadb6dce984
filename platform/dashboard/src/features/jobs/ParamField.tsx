import { NumberInput, Select, Switch, TextInput } from "@mantine/core";
import { type FormField, parseNumbers } from "./schema-form";

interface Props {
  field: FormField;
  value: unknown;
  error: string | undefined;
  onChange: (value: unknown) => void;
}

const asText = (value: unknown): string => (Array.isArray(value) ? value.join(", ") : value === undefined || value === null ? "" : String(value));

/** One parameter of a recipe. Left empty it has the recipe's default, which stands in it in grey. */
export function ParamField({ field, value, error, onChange }: Props) {
  const common = {
    label: field.label,
    description: [field.description, field.bounds && `${field.bounds.charAt(0).toUpperCase()}${field.bounds.slice(1)}.`].filter(Boolean).join(" ") || undefined,
    placeholder: asText(field.fallback) || undefined,
    error,
    required: field.required,
  };
  switch (field.kind) {
    case "integer":
    case "number":
      return (
        <NumberInput
          {...common}
          value={(value as number | undefined) ?? ""}
          onChange={(v) => onChange(v === "" ? undefined : v)}
          allowDecimal={field.kind === "number"}
          hideControls
          clampBehavior="none"
        />
      );
    case "choice":
      return <Select {...common} data={field.choices} value={asText(value ?? field.fallback)} onChange={(v) => onChange(v ?? undefined)} />;
    case "flag":
      return <Switch label={common.label} description={common.description} error={error} checked={Boolean(value ?? field.fallback)} onChange={(e) => onChange(e.currentTarget.checked)} />;
    case "numbers":
      return <TextInput {...common} value={asText(value)} onChange={(e) => onChange(e.currentTarget.value === "" ? undefined : e.currentTarget.value)} />;
    default:
      return <TextInput {...common} value={asText(value)} onChange={(e) => onChange(e.currentTarget.value || undefined)} />;
  }
}

/** What a parameter is sent as. */
export const toSpec = (field: FormField, value: unknown): unknown => (field.kind === "numbers" && typeof value === "string" ? parseNumbers(value) : value);
