import type { Queued } from "../../api/types";
import { bytes, plural } from "../../shared/format";

/** What a job needs to start: "8 CPUs, 2 GPUs, 64 GiB". */
export function asks({ cpus, gpus, memory_bytes }: Pick<Queued, "cpus" | "gpus" | "memory_bytes">): string {
  return [plural(cpus, "CPU"), gpus > 0 && plural(gpus, "GPU"), memory_bytes > 0 && bytes(memory_bytes)].filter(Boolean).join(", ");
}
