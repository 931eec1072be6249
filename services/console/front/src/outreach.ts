// How long a claimed callback is still one's own, counted down from what the server said. When it is
// over the page says so, and what is being written stays.
const left = document.querySelector<HTMLElement>(".left[data-left]");
if (left) {
  const until = performance.now() + Number(left.dataset.left) * 1000;
  const form = new Intl.NumberFormat("en", { minimumIntegerDigits: 2 });
  const text = left.querySelector<HTMLElement>(".countdown");
  const tick = (): void => {
    const seconds = Math.max(0, Math.round((until - performance.now()) / 1000));
    if (text) text.textContent = `${Math.floor(seconds / 60)}:${form.format(seconds % 60)}`;
    if (seconds > 0) return;
    clearInterval(every);
    left.classList.add("over");
    left.textContent = left.dataset.over ?? "";
  };
  const every = setInterval(tick, 1000);
  tick();
}
