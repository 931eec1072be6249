// What every page does beyond HTML: parts that change by htmx, dialogs, and telling its own age.
import htmx from "htmx.org";
import { Idiomorph } from "idiomorph";
import "htmx-ext-sse";

htmx.defineExtension("morph", {
  isInlineSwap: (style: string) => style === "morph",
  handleSwap: (style: string, target: Node, fragment: Node) => {
    if (!style.startsWith("morph")) return false;
    const inner = style === "morph:innerHTML";
    const content = inner ? fragment.childNodes : fragment;
    return Idiomorph.morph(target as Element, content as Node, {
      morphStyle: inner ? "innerHTML" : "outerHTML",
      ignoreActiveValue: true,
    });
  },
} as never);

// What a room refused is shown where the answer would have stood.
document.addEventListener("htmx:beforeSwap", (event) => {
  const detail = (event as CustomEvent).detail;
  if (detail.xhr.status >= 400 && detail.xhr.getResponseHeader("content-type")?.startsWith("text/html")) {
    detail.shouldSwap = true;
    detail.isError = false;
  }
});

document.addEventListener("click", (event) => {
  const opener = (event.target as Element).closest<HTMLElement>("[data-opens]");
  if (!opener) return;
  const dialog = document.getElementById(opener.dataset.opens ?? "");
  if (dialog instanceof HTMLDialogElement) {
    event.preventDefault();
    dialog.showModal();
  }
});

// A page that lives by a stream hears the server's time every two seconds (`event: at`). When it no
// longer does, it says since when, and goes grey: nobody shall take an old figure for a new one.
const LOST_MS = 6000;
const age = document.getElementById("age");
// A stream that never begins is told like one that ends: the page itself was the last that was heard.
const lives = document.querySelector("[sse-connect]") !== null;
let heardAt = performance.now();
let serverMs = Date.now();

function tell(): void {
  if (!age || !lives) return;
  const lost = performance.now() - heardAt > LOST_MS;
  if (lost === !age.hidden) return;
  document.documentElement.classList.toggle("stale", lost);
  age.hidden = !lost;
  const at = new Date(serverMs).toLocaleTimeString("en-GB");
  age.textContent = lost ? `${age.dataset.lost} ${at}` : "";
}

document.addEventListener("htmx:sseBeforeMessage", (event) => {
  const message = (event as CustomEvent).detail;
  if (message.type !== "at") return;
  heardAt = performance.now();
  serverMs = Number(message.data);
  event.preventDefault();
  tell();
});
setInterval(tell, 1000);
