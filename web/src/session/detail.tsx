// All of one event: what it says, where it is, what caused it.
import { get, path, Problem } from '../api/client';
import { useLoad } from '../api/hooks';
import type { RecordedEvent } from '../api/types';
import { Copy, Empty, Failed, Loading } from '../ui/bits';
import { moment } from '../ui/format';
import { JsonTree } from '../ui/json';
import { to } from '../router';

export function Detail({ session, branch, at }: { session: string; branch: string; at: number }) {
  const { data, error, reload } = useLoad(
    at > 0 ? `${session}/${branch}@${at}` : null,
    (signal) => get<RecordedEvent>(`${path.branch(session, branch)}/events/${at}`, {}, signal),
    { keep: `${session}/${branch}` },
  );
  if (at < 1) return <Empty title="No events yet">The first one is shown as soon as it is appended.</Empty>;
  if (error) return error instanceof Problem && error.status === 404 ? <Empty title={`There is no event ${at}`} /> : <Failed error={error} again={reload} />;
  if (!data) return <Loading what="the event" />;
  const text = data.data_base64 === undefined ? null : data.data_base64;
  return (
    <div class="detail">
      <header class="detail-head">
        <h2>{data.type}</h2>
        <span class="dim">
          @{data.sequence} · {moment(data.time)}
        </span>
      </header>
      <dl class="facts">
        <Fact name="Id">
          <code>{data.id}</code>
          <Copy text={data.id} label="the id" />
        </Fact>
        {data.actor && <Fact name="Actor">{data.actor}</Fact>}
        {data.source && <Fact name="Source">{data.source}</Fact>}
        {data.branch !== branch && (
          <Fact name="Inherited">
            <a href={to.branch(data.session, data.branch, data.sequence)}>from {data.branch}</a>
          </Fact>
        )}
        {data.correlation && (
          <Fact name="Correlation">
            <code>{data.correlation}</code>
          </Fact>
        )}
        {data.causation && (
          <Fact name="Caused by">
            <Cause id={data.causation} />
          </Fact>
        )}
        <Fact name="Position">{data.position.toLocaleString('en-US')}</Fact>
        {data.recorded.slice(0, 19) !== data.time.slice(0, 19) && <Fact name="Recorded">{moment(data.recorded)}</Fact>}
        {data.version > 1 && <Fact name="Version">{data.version}</Fact>}
        {data.priority ? <Fact name="Priority">{data.priority}</Fact> : null}
        {Object.entries(data.metadata ?? {}).map(([key, value]) => (
          <Fact key={key} name={key}>
            {value}
          </Fact>
        ))}
      </dl>
      <div class="detail-data">
        <div class="detail-bar">
          <h3>Data</h3>
          <Copy text={text ?? JSON.stringify(data.data ?? null, null, 2)} label="the data" />
        </div>
        {text === null ? <JsonTree value={data.data} /> : <Bytes text={text} kind={data.datacontenttype ?? 'application/octet-stream'} />}
      </div>
    </div>
  );
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Cause({ id }: { id: string }) {
  const { data } = useLoad(id, (signal) => get<RecordedEvent>(`/v1/events/${encodeURIComponent(id)}`, {}, signal));
  if (!data) return <code>{id}</code>;
  return (
    <a href={to.branch(data.session, data.branch, data.sequence)}>
      {data.type} @{data.sequence}
    </a>
  );
}

function Bytes({ text, kind }: { text: string; kind: string }) {
  const isJson = kind.includes('json');
  const isText = isJson || kind.startsWith('text/');
  let shown = `${Math.floor((text.length * 3) / 4).toLocaleString('en-US')} bytes of ${kind}`;
  let value: unknown;
  if (isText) {
    try {
      const decoded = new TextDecoder().decode(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
      if (isJson) value = JSON.parse(decoded);
      else shown = decoded.slice(0, 20_000);
    } catch {
      // It is shown as bytes.
    }
  }
  return value === undefined ? <pre class="bytes">{shown}</pre> : <JsonTree value={value} />;
}
