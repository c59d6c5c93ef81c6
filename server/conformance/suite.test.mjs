// The public suite, as others run it.
import { runConformanceTests } from '@durable-streams/server-conformance-tests';

runConformanceTests({ baseUrl: process.env.URL, longPollTimeoutMs: Number(process.env.LONG_POLL_MS) });
