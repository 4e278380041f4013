/** The folders on the way to a prefix: `a/b/` is `a` and `b`. */
export function crumbs(prefix: string): { name: string; prefix: string }[] {
  const found: { name: string; prefix: string }[] = [];
  let from = 0;
  for (let at = prefix.indexOf('/'); at >= 0; at = prefix.indexOf('/', at + 1)) {
    const name = prefix.slice(from, at);
    found.push({ name: name === '' ? '(empty)' : name, prefix: prefix.slice(0, at + 1) });
    from = at + 1;
  }
  return found;
}

export type Preview = 'image' | 'video' | 'audio' | 'text' | 'unknown';

/** What a browser can show of an object, by what the object says that it is. */
export function previewOf(contentType: string | null | undefined, key: string): Preview {
  const type = contentType?.toLowerCase() ?? '';
  for (const kind of ['image', 'video', 'audio', 'text'] as const)
    if (type.startsWith(`${kind}/`)) return kind;
  if (/json|xml|yaml|javascript|toml/.test(type)) return 'text';
  return /\.(txt|md|csv|log|json|xml|ya?ml|toml|gml|sql|sh|py|rs)$/i.test(key) ? 'text' : 'unknown';
}
