// Words and signs of findings: a state is never told by its color alone.

export const SEVERITIES: Record<string, { sign: string; word: string }> = {
  error: { sign: "✕", word: "error" },
  warning: { sign: "▲", word: "warning" },
  info: { sign: "i", word: "remark" },
}
