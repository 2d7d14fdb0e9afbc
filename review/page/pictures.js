// Loading pictures only as they come into view and a few at a time: a browser has six connections to a server, and what a
// person waits for must not queue behind pictures.

/** Load the images below `root` that are watched, from their `data-src`, `together` at a time. */
export function loader(root, together) {
  const waiting = [];
  const loading = new Set();
  let stopped = false;
  const next = () => {
    while (!stopped && loading.size < together && waiting.length) {
      const image = waiting.shift();
      if (!image.isConnected) continue;
      loading.add(image);
      image.onload = image.onerror = () => {
        loading.delete(image);
        next();
      };
      image.src = image.dataset.src;
    }
  };
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      waiting.push(entry.target);
    }
    next();
  }, { root, rootMargin: "200px" });
  return {
    watch: (image) => seen.observe(image),
    stop: () => {
      stopped = true;
      seen.disconnect();
      for (const image of loading) image.removeAttribute("src");
    },
  };
}
