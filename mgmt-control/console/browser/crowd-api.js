// Runs inside the page, before it: answers its API as a supermarket of ten thousand Hosts would, of which
// a thousand change each second.
(() => {
  const ELEMENTS = 100;
  const HOSTS_EACH = 100;
  const CHANGES_PER_BEAT = 100;
  const BEAT_MS = 100;
  const CONDITIONS = ['ok', 'ok', 'ok', 'ok', 'ok', 'ok', 'warning', 'away', 'closed', 'critical'];
  const id = (kind, index) => `01a20000-0000-7000-8000-${kind}${String(index).padStart(11, '0')}`;
  const elements = [];
  const hosts = [];
  const row = (kind, index, name, more) => ({
    id: id(kind === 'ce' ? 'e' : 'f', index),
    kind,
    name,
    domain: `site-${index % 7}`,
    serving_state: 'production',
    health_state: 'ok',
    condition: 'ok',
    connected: true,
    age_seconds: 1,
    desired: 'production',
    pending: false,
    total_slots: 8,
    free_slots: 8,
    running_jobs: 0,
    ...more,
  });
  for (let element = 0; element < ELEMENTS; element += 1) {
    elements.push(row('ce', element, `ce-${element}`, {}));
    for (let host = 0; host < HOSTS_EACH; host += 1) {
      const index = element * HOSTS_EACH + host;
      hosts.push(
        row('chost', index, `host-${index} <b>${'x'.repeat(index % 60)}</b>`, { element: id('e', element) }),
      );
    }
  }
  const all = [...elements, ...hosts];
  const counts = {
    total: hosts.length,
    ok: hosts.length,
    warning: 0,
    critical: 0,
    draining: 0,
    closed: 0,
    away: 0,
    unknown: 0,
  };
  const overview = () => ({
    kinds: [{ kind: 'chost', ...counts }],
    domains: Array.from({ length: 7 }, (_, index) => ({ domain: `site-${index}`, ...counts })),
    applications: 3,
    compute: {
      total_slots: 80_000,
      used_slots: 40_000,
      cpus: 80_000,
      load: 12_345.6,
      memory_bytes: 1e15,
      memory_free_bytes: 4e14,
    },
    storage: {},
    data: {},
    calls: {
      running: 40_000,
      waiting: 12,
      span_seconds: 300,
      ended: 300_000,
      failed: 7,
      per_second: 1_000,
      p50_us: 5_000,
      p95_us: 90_000,
    },
    needs: [],
    needs_total: 0,
    events: [],
  });
  const topology = () => ({
    controller: id('c', 0),
    domains: Array.from({ length: 7 }, (_, index) => `site-${index}`),
    applications: [],
    elements: elements.map(({ id: own, kind, name, condition }, index) => ({
      id: own,
      kind,
      name,
      domain: index % 7,
      condition,
      first_host: index * HOSTS_EACH,
      hosts: HOSTS_EACH,
    })),
    hosts: {
      ids: hosts.map((host) => host.id),
      names: hosts.map((host) => host.name),
      conditions: hosts.map((host) => host.condition),
      used_percent: hosts.map(() => 0),
      applications: hosts.map(() => []),
    },
  });
  const actions = ['OverviewView', 'TopologyView', 'ResourceList', 'ResourceView'];
  const session = {
    person: 'crowd',
    role: 'operator',
    csrf: 'none',
    expires: '2999-01-01T00:00:00Z',
    idle_seconds: 7200,
    may: actions,
  };
  const json = (value, status = 200) =>
    new window.Response(JSON.stringify(value), { status, headers: { 'content-type': 'application/json' } });

  let sequence = 0;
  function beat() {
    const changed = [];
    for (let change = 0; change < CHANGES_PER_BEAT; change += 1) {
      sequence += 1;
      const index = (sequence * 7919) % hosts.length;
      const free = sequence % 9;
      const condition = CONDITIONS[(sequence + index) % CONDITIONS.length];
      hosts[index] = { ...hosts[index], condition, free_slots: free, connected: condition !== 'away' };
      all[ELEMENTS + index] = hosts[index];
      changed.push(hosts[index]);
    }
    window.crowdChanges = sequence;
    return `id: 1-${sequence}\nevent: resources\ndata: ${JSON.stringify({ changed, gone: [] })}\n\n`;
  }
  function live() {
    const text = new window.TextEncoder();
    let timer;
    const body = new window.ReadableStream({
      start(stream) {
        stream.enqueue(text.encode('id: 1-0\nevent: hello\ndata: {"epoch":"1","sequence":0}\n\n'));
        timer = setInterval(() => stream.enqueue(text.encode(beat())), BEAT_MS);
      },
      cancel: () => clearInterval(timer),
    });
    return new window.Response(body, { headers: { 'content-type': 'text/event-stream' } });
  }

  const real = window.fetch.bind(window);
  window.fetch = async (asked, options) => {
    const url = new URL(typeof asked === 'string' ? asked : asked.url, location.origin);
    const path = url.pathname.replace('/api/v1/', '');
    if (!url.pathname.startsWith('/api/v1/')) return real(asked, options);
    if (path === 'session') return json(session);
    if (path === 'live') return live();
    if (path === 'overview') return json(overview());
    if (path === 'overview/history')
      return json({ span: 'hour', step_seconds: 15, end: new Date().toISOString(), metrics: [] });
    if (path === 'topology') return json(topology());
    if (path === 'resources') {
      const offset = Number(url.searchParams.get('offset') ?? 0);
      const limit = Number(url.searchParams.get('limit') ?? 1000);
      return json({ items: all.slice(offset, offset + limit), total: all.length, offset });
    }
    const one = all.find((known) => path === `resources/${known.id}`);
    if (one)
      return json({
        row: one,
        wish: { desired: 'production', generation: 0, cut_epoch: 0 },
        applied_generation: 0,
        deployments: [],
        description: {},
      });
    return json(
      { code: 'not-found', status: 404, title: '', type: '', detail: path, hint: '', retryable: false },
      404,
    );
  };
})();
