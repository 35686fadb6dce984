/** A question before what can't be taken back. The browser's own dialog holds the focus and is read aloud by itself. */
export function confirmThen(question: string, then: () => void): void {
  if (window.confirm(question)) then();
}
