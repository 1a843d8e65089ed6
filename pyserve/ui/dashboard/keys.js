// What each key used in the last day, hour by hour. Pure.

const HOUR_S = 3600;
const HOURS = 24;
const MOST_KEYS = 7;
const OTHERS = "others";

export const KEYS_SPAN_S = HOURS * HOUR_S;

// The question of /usage that `keyLines` reads. nowS: seconds since 1970.
export function keyQuestion(nowS) {
  return `usage?group_by=hour,key,model&from=${Math.floor(nowS) - KEYS_SPAN_S + HOUR_S}`;
}

// {times, lines} of the tokens that keys had generated in each hour. rows: of /usage. chosen: a
// model, or "" for all. The keys that used most have lines of their own.
export function keyLines(rows, chosen, nowS) {
  const last = nowS - (nowS % HOUR_S);
  const times = Array.from({ length: HOURS }, (_, i) => last - (HOURS - 1 - i) * HOUR_S);
  const used = new Map();
  for (const row of rows) {
    const hour = times.indexOf(row.start_time);
    if (hour < 0 || (chosen && row.model !== chosen)) continue;
    const label = row.key || "(none)";
    if (!used.has(label)) used.set(label, new Array(HOURS).fill(0));
    used.get(label)[hour] += row.completion_tokens;
  }
  const sum = (values) => values.reduce((all, one) => all + one, 0);
  const sorted = [...used].sort(([, a], [, b]) => sum(b) - sum(a));
  const lines = sorted.slice(0, MOST_KEYS).map(([label, values]) => ({ label, values }));
  const rest = sorted.slice(MOST_KEYS).map(([, values]) => values);
  if (rest.length > 0) {
    lines.push({ label: OTHERS, values: times.map((_, i) => sum(rest.map((one) => one[i]))) });
  }
  return { times, lines };
}
