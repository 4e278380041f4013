// Which pages there are to look at: those that always are, and one of each kind of thing that is there.

/** Reads the API with the session of the page. */
async function read(page, path) {
  return page.evaluate(async (at) => (await fetch(`/api/v1/${at}`)).json(), path);
}

export async function addresses(page, scheme) {
  const fixed = [
    { name: 'overview', path: '/' },
    { name: 'map', path: '/map' },
    { name: 'resources', path: '/resources' },
    { name: 'resources-none', path: '/resources?search=nothing-of-that-name' },
    { name: 'applications', path: '/applications' },
    { name: 'calls', path: '/calls' },
    { name: 'files', path: '/files' },
    { name: 'data', path: '/data' },
    { name: 'people', path: '/people' },
    { name: 'people-tokens', path: '/people?tab=tokens' },
    { name: 'people-join', path: '/people?tab=join' },
    { name: 'people-nodes', path: '/people?tab=nodes' },
    { name: 'audit', path: '/audit' },
    { name: 'not-found', path: '/nothing-here' },
  ];
  const found = await things(page);
  const all = [...fixed, ...found];
  // Dark is looked at on the pages that have the most colours.
  const dark = ['overview', 'resources', 'host-state', 'map', 'database', 'audit'];
  return scheme === 'light' ? all : all.filter(({ name }) => dark.includes(name));
}

async function things(page) {
  const { items: resources } = await read(page, 'resources?limit=1000');
  const of = (kind) => resources.find((row) => row.kind === kind);
  const found = [];
  const add = (name, path, act) => found.push({ name, path, act });
  const host = of('chost');
  if (host) {
    for (const tab of ['state', 'info', 'rules', 'history', 'applications', 'document'])
      add(`host-${tab}`, `/resources/${host.id}/${tab}`);
    add('host-kill', `/resources/${host.id}`, (shown) => shown.getByRole('button', { name: 'Kill' }).click());
  }
  const element = of('ce');
  if (element) add('element-hosts', `/resources/${element.id}/hosts`);
  const storage = of('se');
  if (storage) {
    add('storage-layout', `/resources/${storage.id}/layout`);
    add('storage-heals', `/resources/${storage.id}/heals`);
  }
  const [application] = (await read(page, 'applications')).items;
  if (application) {
    add('application', `/applications/${encodeURIComponent(application.name)}`);
    add('upload', '/applications', (shown) => shown.getByRole('button', { name: 'Upload' }).click());
  }
  const [call] = (await read(page, 'calls?limit=1')).items;
  if (call) add('call', `/calls/${call.call}`);
  const { buckets } = await read(page, 'buckets');
  const bucket = buckets.find(({ area }) => area.state?.number_of_files > 0) ?? buckets[0];
  if (bucket) add('bucket', `/files/${bucket.area.name}?element=${bucket.element}`);
  if (bucket) {
    const told = await read(page, `console/buckets/${bucket.area.name}/objects?limit=1`);
    const key = told.objects?.[0]?.key;
    if (key)
      add('object', `/files/${bucket.area.name}?element=${bucket.element}&key=${encodeURIComponent(key)}`);
  }
  const [database] = (await read(page, 'databases')).databases;
  if (database) add('database', `/data/${database.database.name}?element=${database.element}`);
  return found;
}
