import { createTheme, type CSSVariablesResolver, type MantineColorsTuple } from "@mantine/core";

const ink: MantineColorsTuple = [
  "#eef0ff", "#dfe2fd", "#bfc5f8", "#a3abf4", "#8a94ee", "#6e78e6", "#5862d8", "#4750c4", "#3b3fa8", "#2f3287",
];
const dark: MantineColorsTuple = [
  "#dfe2e8", "#bcc1cb", "#9aa1ae", "#697080", "#363c47", "#2a2f38", "#1d2128", "#14171c", "#0f1115", "#0a0c0f",
];

export const theme = createTheme({
  colors: { ink, dark },
  primaryColor: "ink",
  primaryShade: { light: 8, dark: 7 },
  autoContrast: true,
  luminanceThreshold: 0.3,
  fontFamily: 'ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", Ubuntu, Cantarell, sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", "Cascadia Code", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
  fontSizes: { xs: "0.75rem", sm: "0.8125rem", md: "0.875rem", lg: "1rem", xl: "1.25rem" },
  defaultRadius: "md",
  cursorType: "pointer",
  components: {
    // The explanation stands below the field: fields in a row stay level, however long it is.
    InputWrapper: { defaultProps: { inputWrapperOrder: ["label", "input", "description", "error"] } },
    Button: { defaultProps: { size: "xs" } },
    TextInput: { defaultProps: { size: "sm" } },
    Select: { defaultProps: { size: "sm", allowDeselect: false } },
    NumberInput: { defaultProps: { size: "sm" } },
    Tooltip: { defaultProps: { openDelay: 250, events: { hover: true, focus: true, touch: true }, withArrow: true } },
  },
});

/** Mantine's dimmed text is below 4.5:1 on white; ours is above it on every surface. */
export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: { "--mantine-color-dimmed": "#59606e", "--mantine-color-text": "#1a1d23", "--mantine-color-placeholder": "#6b7280" },
  dark: { "--mantine-color-dimmed": "#9aa1ae", "--mantine-color-text": "#dfe2e8", "--mantine-color-placeholder": "#878e9c" },
});
