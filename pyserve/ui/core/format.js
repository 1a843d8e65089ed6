// Numbers, sizes and times for people.

export function bytes(count) {
  if (count === null || count === undefined) return "";
  if (count < 1024) return `${count} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = count / 1024;
  while (value >= 999.5 && units.length > 1) {
    value /= 1024;
    units.shift();
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[0]}`;
}

export function count(value) {
  return Math.round(value).toLocaleString("en");
}

// 134515008 is 135M.
export function short(value) {
  if (value < 1000) return String(value);
  const units = ["k", "M", "B", "T"];
  let rest = value / 1000;
  while (rest >= 999.5 && units.length > 1) {
    rest /= 1000;
    units.shift();
  }
  return `${rest < 10 ? rest.toFixed(1).replace(/\.0$/, "") : Math.round(rest)}${units[0]}`;
}

export function seconds(value) {
  if (value < 0.001) return "0 ms";
  if (value < 1)
    return `${value < 0.1 ? (value * 1000).toPrecision(2) : Math.round(value * 1000)} ms`;
  return `${value < 10 ? value.toFixed(2) : value.toFixed(1)} s`;
}

export function percent(part) {
  const value = part * 100;
  return `${value >= 9.95 || value === 0 ? Math.round(value) : value.toPrecision(2)} %`;
}

// A time of this day, else a date. ms: since 1970.
export function when(ms, now = Date.now()) {
  const date = new Date(ms);
  if (new Date(now).toDateString() === date.toDateString()) {
    return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  }
  return date.toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" });
}
