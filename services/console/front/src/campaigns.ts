// While a text is written: how many parts it takes, and how a phone shows it.
import { MOST_PARTS, count, filled, marked } from "./campaigns/sms";

const form = document.querySelector<HTMLFormElement>("#compose");

function figure(value: number): string {
  return value.toLocaleString("en-GB");
}

function tell(area: HTMLTextAreaElement): void {
  if (!form) return;
  const drill = form.querySelector<HTMLInputElement>("#drill")?.checked ?? false;
  const { text, fields } = filled(area.value.replace(/\r\n/g, "\n"));
  const shown = text.trim() ? marked(text, drill) : "";
  const line = document.querySelector(`[data-count="${area.id}"]`);
  if (line) {
    const { encoding, units, parts, left } = count(shown);
    const about = fields.length ? `${form.dataset.about} ` : "";
    const alphabet = encoding === "gsm7" ? "GSM-7" : "UCS-2";
    const told = `${form.dataset.parts}: ${about}${figure(parts)} · ${alphabet} · ${figure(units)} (+${figure(left)} ${form.dataset.unitsLeft})`;
    const much = parts > MOST_PARTS;
    line.textContent = !shown ? `${form.dataset.parts}: –` : much ? `${told} · ${form.dataset.tooLong}` : told;
    line.classList.toggle("bad-text", much);
  }
  const phone = document.querySelector(`[data-preview="${area.id}"]`);
  if (phone) phone.textContent = shown;
}

function tellAll(): void {
  document.querySelectorAll<HTMLTextAreaElement>("textarea[data-sms]").forEach(tell);
  document.documentElement.classList.toggle("writes-drill", form?.querySelector<HTMLInputElement>("#drill")?.checked ?? false);
}

if (form) {
  form.addEventListener("input", (event) => {
    const target = event.target;
    if (target instanceof HTMLTextAreaElement) tell(target);
    else if (target instanceof HTMLInputElement && target.id === "drill") tellAll();
  });
  tellAll();
}
