// Clocks inside the page: what a person would wait for, from their own click or key to what they see.
window.lsiLook = (() => {
  const hosts = () => [...document.querySelectorAll("*")].filter((e) => e.shadowRoot);
  const all = (selector) => [document, ...hosts().map((h) => h.shadowRoot)].flatMap((r) => [...r.querySelectorAll(selector)]);
  const ready = (e) => e.tagName !== "IMG" || (e.complete && e.naturalWidth > 0);
  const frames = (test, most = 30_000) => new Promise((resolve, reject) => {
    const end = performance.now() + most;
    const look = () => {
      const found = test();
      if (found) resolve(found);
      else if (performance.now() > end) reject(new Error(`not seen within ${most / 1000} s: ${test}`));
      else requestAnimationFrame(look);
    };
    look();
  });

  const picture = (selector) => frames(() => all(selector).some((e) => e.naturalWidth), 300_000).then(() => true);

  async function follow(name, title, selector) {
    const link = [...document.querySelectorAll("a")].find((a) => a.textContent.trim().endsWith(name));
    const start = performance.now();
    link.click();
    await frames(() => [...document.querySelectorAll("h1")].some((h) => h.textContent.trim() === title) && all(selector).some(ready));
    return (performance.now() - start) / 1000;
  }

  let queue;
  function watchQueue() {
    const root = all(".queue")[0], image = root.querySelector(".picture img");
    queue = { start: null, seen: null };
    const before = image.getAttribute("src");
    window.addEventListener("keydown", () => { queue.start = performance.now(); }, { capture: true, once: true });
    frames(() => queue.start !== null && image.getAttribute("src") !== before && image.complete && image.naturalWidth > 0)
      .then(() => { queue.seen = performance.now(); });
  }
  const queueSeconds = async () => { await frames(() => queue.seen); return (queue.seen - queue.start) / 1000; };

  const countText = () => [...document.querySelectorAll("[data-testid=stMarkdownContainer]")]
    .map((e) => e.textContent).find((t) => /^(All )?[\d,]+( of [\d,]+)? images$/.test(t.trim()));
  let counted;
  function watchCount() {
    const before = countText();
    const old = new Set(all(".gallery .tile img").map((i) => i.getAttribute("src")));
    counted = { start: null, count: null, image: null };
    window.addEventListener("pointerup", () => { counted.start = performance.now(); }, { capture: true, once: true });
    frames(() => counted.start !== null && countText() && countText() !== before).then(() => { counted.count = performance.now(); });
    frames(() => counted.start !== null && all(".gallery .tile img").some((i) => ready(i) && !old.has(i.getAttribute("src"))))
      .then(() => { counted.image = performance.now(); });
  }
  async function countSeconds() {
    await frames(() => counted.count && counted.image);
    const points = Number(countText().match(/[\d,]+/)[0].replaceAll(",", ""));
    return { points, count: (counted.count - counted.start) / 1000, image: (counted.image - counted.start) / 1000 };
  }

  // scroll at an even pace; a tile counts as blank from when it comes into view until its picture is there
  async function scroll(tiles, seconds) {
    const root = all(".gallery")[0], first = root.querySelector(".tile");
    const columns = new Set([...root.querySelectorAll(".tile")].map((t) => t.getBoundingClientRect().left)).size;
    const height = first.getBoundingClientRect().height, distance = (tiles / columns) * height;
    const blank = new Map();
    let worst = 0, passed = 0;
    const seen = new Set(), start = performance.now();
    await frames(() => {
      const now = performance.now(), box = root.getBoundingClientRect();
      passed += now - start < seconds * 1000;
      root.scrollTop = Math.min(1, (now - start) / 1000 / seconds) * distance;
      for (const tile of root.querySelectorAll(".tile")) {
        const r = tile.getBoundingClientRect(), image = tile.querySelector("img");
        if (r.bottom < box.top || r.top > box.bottom) { blank.delete(tile); continue; }
        seen.add(image.getAttribute("src"));
        if (ready(image)) { blank.delete(tile); continue; }
        if (!blank.has(tile)) blank.set(tile, now);
        worst = Math.max(worst, (now - blank.get(tile)) / 1000);
      }
      return now - start > seconds * 1000 + 500;
    });
    return { tiles: seen.size, longest_blank: worst, frames_a_second: passed / seconds };
  }

  return { picture, follow, watchQueue, queueSeconds, watchCount, countSeconds, scroll };
})();
