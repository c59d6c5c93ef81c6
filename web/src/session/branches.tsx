// The branches of a session as a graph: each begins at the event that it was forked from.
import type { Branch } from '../api/types';
import { to } from '../router';
import { ago, count } from '../ui/format';

const ROW = 44;
const LEFT = 10;
const STEP = 16;

interface Placed {
  branch: Branch;
  depth: number;
  /** The row of the branch that it was forked from. */
  parent: number;
}

/** Each branch below the one that it comes from. */
export function placed(branches: Branch[]): Placed[] {
  const children = new Map<string | null, Branch[]>();
  const known = new Set(branches.map((branch) => branch.branch));
  for (const branch of branches) {
    const parent = branch.parent !== null && known.has(branch.parent) && !branch.parent_deleted ? branch.parent : null;
    children.set(parent, [...(children.get(parent) ?? []), branch]);
  }
  const rows: Placed[] = [];
  const seen = new Set<string>();
  const add = (branch: Branch, depth: number, parent: number) => {
    if (seen.has(branch.branch)) return;
    seen.add(branch.branch);
    const row = rows.push({ branch, depth, parent }) - 1;
    const own = (children.get(branch.branch) ?? []).sort((a, b) => (a.forked_at ?? 0) - (b.forked_at ?? 0));
    own.forEach((child) => add(child, depth + 1, row));
  };
  (children.get(null) ?? []).forEach((branch) => add(branch, 0, -1));
  return rows;
}

export function BranchGraph({ session, branches, now, at, clockNow }: { session: string; branches: Branch[]; now: string; at: number; clockNow: number }) {
  const rows = placed(branches);
  const deepest = Math.max(0, ...rows.map((row) => row.depth));
  const width = LEFT * 2 + deepest * STEP;
  const x = (depth: number) => LEFT + depth * STEP;
  const y = (row: number) => row * ROW + ROW / 2;
  return (
    <div class="branches">
      <svg class="branch-lines" width={width} height={rows.length * ROW} aria-hidden="true">
        {rows.map((row, at) => {
          const parent = rows[row.parent];
          if (!parent) return null;
          const [px, py, cx, cy] = [x(parent.depth), y(row.parent), x(row.depth), y(at)];
          return <path key={row.branch.branch} d={`M${px} ${py}V${cy - 10}Q${px} ${cy} ${px + 10} ${cy}H${cx}`} />;
        })}
        {rows.map((row, at) => (
          <circle key={row.branch.branch} class={row.branch.branch === now ? 'is-now' : ''} cx={x(row.depth)} cy={y(at)} r={4.5} />
        ))}
      </svg>
      <ul class="branch-list" aria-label="Branches">
        {rows.map(({ branch }) => {
          const isHere = branch.branch === now;
          const seeAt = branch.head >= at ? at : null;
          return (
            <li key={branch.branch} style={{ height: `${ROW}px` }} class={isHere ? 'is-selected' : ''}>
              <a href={to.branch(session, branch.branch, isHere ? at : seeAt && at <= (branch.forked_at ?? 0) ? at : null)} aria-current={isHere ? 'true' : undefined}>
                <b>
                  {branch.branch}
                  {branch.current && <span class="label">current</span>}
                  {branch.closed && <span class="label">closed</span>}
                </b>
                <span class="dim">
                  {branch.forked_at === null ? count(branch.head, 'event') : `from ${branch.parent}@${branch.forked_at}, then ${count(branch.head - branch.forked_at, 'event')}`}
                  {branch.last && ` · ${ago(branch.last, clockNow)}`}
                </span>
              </a>
              {!isHere && (
                <a class="button is-quiet" href={to.compare(`${session}/${now}`, `${session}/${branch.branch}`)} aria-label={`Compare ${now} with ${branch.branch}`}>
                  Compare
                </a>
              )}
            </li>
          );
        })}
      </ul>
    </div>
  );
}
