// Tokens, cost and resources over the events of a branch, from states at evenly spaced sequences.
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { get, path } from '../api/client';
import { useLoad } from '../api/hooks';
import type { Described } from '../api/types';
import { Empty, Failed, Loading } from '../ui/bits';
import { amount, money } from '../ui/format';
import { addsUp, valueOf } from './state';

const SAMPLES = 40;
const AT_ONCE = 4;
const HEIGHT = 150;
const MOST_CHARTS = 12;

interface Props {
  session: string;
  branch: string;
  first: number;
  head: number;
  at: number;
  select: (sequence: number) => void;
}

export function samples(first: number, head: number): number[] {
  const steps = Math.min(SAMPLES, head - first + 1);
  if (steps < 2) return [head];
  return [...new Set(Array.from({ length: steps }, (_, at) => Math.round(first + (at * (head - first)) / (steps - 1))))];
}

async function measured(props: Props, signal: AbortSignal): Promise<{ sequence: number; state: Described }[]> {
  const waiting = samples(props.first, props.head);
  const found: { sequence: number; state: Described }[] = [];
  const work = async () => {
    for (let sequence = waiting.shift(); sequence !== undefined; sequence = waiting.shift()) {
      const state = await get<Described>(`${path.branch(props.session, props.branch)}/describe`, { sequence, events: 0 }, signal);
      found.push({ sequence, state });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return found.sort((a, b) => a.sequence - b.sequence);
}

export default function Charts(props: Props) {
  const { session, branch, head } = props;
  const { data, error, reload } = useLoad(`${session}/${branch} ${head}`, (signal) => measured(props, signal), { keep: `${session}/${branch}` });
  if (error && !data) return <Failed error={error} again={reload} />;
  if (!data) return <Loading what="charts" />;
  const measures = [...new Set(data.flatMap((point) => Object.keys(point.state.resource.measures)))].sort(byInterest).slice(0, MOST_CHARTS);
  if (!measures.length) return <Empty title="Nothing was measured">Tokens, cost, memory and other resources are drawn here once events tell of them.</Empty>;
  const sequences = data.map((point) => point.sequence);
  return (
    <div class="charts" tabIndex={0} role="region" aria-label="Charts">
      {measures.map((measure) => {
        const values = data.map(({ state }) => {
          const of = state.resource.measures[measure];
          return of ? valueOf(measure, of) : addsUp(measure) ? 0 : null;
        });
        return <Chart key={measure} name={measure} sequences={sequences} values={values} at={props.at} select={props.select} />;
      })}
    </div>
  );
}

function byInterest(a: string, b: string): number {
  const rank = (name: string) => [/cost/, /^tokens$/, /token/, /cpu/, /mem|rss/, /./].findIndex((of) => of.test(name));
  return rank(a) - rank(b) || a.localeCompare(b);
}

function Chart(props: { name: string; sequences: number[]; values: (number | null)[]; at: number; select: (sequence: number) => void }) {
  const { name, sequences, values, at } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const now = useRef(at);
  now.current = at;
  const choose = useRef(props.select);
  choose.current = props.select;
  const [theme, setTheme] = useState(0);
  useEffect(() => {
    const changed = () => setTheme((n) => n + 1);
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    addEventListener('theme', changed);
    scheme.addEventListener('change', changed);
    return () => (removeEventListener('theme', changed), scheme.removeEventListener('change', changed));
  }, []);
  const told = /cost|usd/.test(name) ? money : amount;
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const style = getComputedStyle(element);
    const color = (of: string) => style.getPropertyValue(of).trim();
    const axis = { stroke: color('--dim'), grid: { stroke: color('--line'), width: 1 }, ticks: { show: false }, font: '11px system-ui', size: 30 };
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
        scales: { x: { time: false } },
        axes: [axis, { ...axis, size: 54, values: (_: uPlot, all: number[]) => all.map(told) }],
        series: [{}, { stroke: color('--accent'), width: 1.75, fill: color('--accent-soft'), ...(addsUp(name) && uPlot.paths.stepped ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}), points: { show: sequences.length < 25, size: 5 } }],
        hooks: {
          draw: [
            (of: uPlot) => {
              const x = of.valToPos(now.current, 'x', true);
              of.ctx.fillStyle = color('--text');
              of.ctx.globalAlpha = 0.5;
              of.ctx.fillRect(x, of.bbox.top, devicePixelRatio, of.bbox.height);
              of.ctx.globalAlpha = 1;
            },
          ],
        },
      },
      [sequences, values] as uPlot.AlignedData,
      element,
    );
    const chosen = () => {
      const x = made.cursor.left;
      if (x !== undefined && x >= 0) choose.current(Math.round(made.posToVal(x, 'x')));
    };
    made.over.addEventListener('click', chosen);
    const seen = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    seen.observe(element);
    plot.current = made;
    return () => {
      seen.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [theme, name]);
  useEffect(() => plot.current?.setData([sequences, values] as uPlot.AlignedData), [sequences, values]);
  useEffect(() => plot.current?.redraw(false), [at]);
  const last = values.findLast((value) => value !== null) ?? 0;
  const peak = Math.max(...values.map((value) => value ?? 0));
  const label = `${name}: ${told(last)} after event ${sequences.at(-1)}, at most ${told(peak)}`;
  return (
    <figure class="chart">
      <figcaption>
        {name} <b>{told(last)}</b>
      </figcaption>
      <div ref={box} class="chart-box" role="img" aria-label={label} />
    </figure>
  );
}
