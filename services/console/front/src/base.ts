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

// A field of a time looks as the browser likes it, perhaps with 12 hours and the month first. Beside it
// stands what the service will take it for: in the page's language, with 24 hours and the centre's zone.
const root = document.documentElement;
const locale = root.lang === "ar" ? "ar-AE-u-nu-latn" : "en-GB";
const days = new Intl.DateTimeFormat(locale, {
  weekday: "long", day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: "UTC",
});

function zoneAt(at: Date): string {
  const named = new Intl.DateTimeFormat(locale, { timeZone: root.dataset.zone, timeZoneName: "long" });
  return named.formatToParts(at).find((part) => part.type === "timeZoneName")?.value ?? "";
}

function understand(typed: HTMLInputElement): void {
  let told = typed.nextElementSibling;
  if (!told?.matches("output.understood")) {
    told = document.createElement("output");
    told.className = "hint understood";
    typed.after(told);
  }
  // Read as if it were UTC, and so told as it was typed.
  const at = new Date(`${typed.value}Z`);
  told.textContent = Number.isNaN(at.getTime()) ? zoneAt(new Date()) : `${days.format(at)} · ${zoneAt(at)}`;
}

const ofTimes = "input[type=datetime-local]";
document.addEventListener("input", (event) => {
  if (event.target instanceof HTMLInputElement && event.target.matches(ofTimes)) understand(event.target);
});
const all = (): void => document.querySelectorAll<HTMLInputElement>(ofTimes).forEach(understand);
document.addEventListener("htmx:afterSettle", all);
all();

// A page that lives by a stream hears the server's time every two seconds (`event: at`). When it no
// longer does, it says since when, and goes grey: nobody shall take an old figure for a new one.
const LOST_MS = 6000;
const age = document.getElementById("age");
// A stream that never begins is told like one that ends: the page itself was the last that was heard.
const lives = document.querySelector("[sse-connect]") !== null;
let heardAt = performance.now();
let serverMs = Number(root.dataset.now);

function tell(): void {
  if (!age || !lives) return;
  const lost = performance.now() - heardAt > LOST_MS;
  if (lost === !age.hidden) return;
  document.documentElement.classList.toggle("stale", lost);
  age.hidden = !lost;
  const at = new Date(serverMs).toLocaleTimeString("en-GB", { timeZone: root.dataset.zone });
  age.textContent = lost ? `${age.dataset.lost} ${at}` : "";
}

document.addEventListener("htmx:sseBeforeMessage", (event) => {
  const message = (event as CustomEvent).detail;
  if (message.type === "signed-out") {
    event.preventDefault();
    location.assign(`/sign-in?next=${encodeURIComponent(location.pathname)}`);
  }
  if (message.type !== "at") return;
  heardAt = performance.now();
  serverMs = Number(message.data);
  event.preventDefault();
  tell();
});
setInterval(tell, 1000);
