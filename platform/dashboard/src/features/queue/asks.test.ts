import { expect, it } from "vitest";
import { asks } from "./asks";

const GIB = 1024 ** 3;

it("names what is asked for, and nothing else", () => {
  expect(asks({ cpus: 8, gpus: 2, memory_bytes: 64 * GIB })).toBe("8 CPUs, 2 GPUs, 64 GiB");
  expect(asks({ cpus: 1, gpus: 0, memory_bytes: 0 })).toBe("1 CPU");
  expect(asks({ cpus: 0.5, gpus: 1, memory_bytes: 0 })).toBe("0.5 CPUs, 1 GPU");
});
