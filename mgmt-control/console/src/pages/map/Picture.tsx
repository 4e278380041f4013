import { Button, useComputedColorScheme } from '@mantine/core';
import { select } from 'd3-selection';
import { zoom, zoomIdentity, type D3ZoomEvent, type ZoomBehavior } from 'd3-zoom';
import { useNavigate } from '@tanstack/react-router';
import { useCallback, useEffect, useMemo, useRef, useState, type PointerEvent } from 'react';

import type { TopologyView } from '../../api/types';
import { words } from '../../words/en';
import { coloursOf, draw, type View } from './draw';
import { hitAt, layOut, type Hit, type Layout } from './layout';
import css from './Map.module.css';

const MARGIN = 16;
const STEP = 1.5;
const SCALES: [number, number] = [0.02, 6];

/** The view in which the whole picture is seen. */
function wholeView({ whole }: Layout, width: number, height: number): View {
  const fit = Math.min(
    (width - 2 * MARGIN) / Math.max(1, whole.width),
    (height - 2 * MARGIN) / Math.max(1, whole.height),
  );
  const k = Math.min(1.6, Math.max(SCALES[0], fit));
  return { k, x: (width - whole.width * k) / 2, y: Math.max(MARGIN, (height - whole.height * k) / 2) };
}

export function Picture({ topology }: { topology: TopologyView }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const view = useRef<View>({ x: 0, y: 0, k: 1 });
  const moved = useRef(false);
  const behaviour = useRef<ZoomBehavior<HTMLCanvasElement, unknown>>(undefined);
  const scheme = useComputedColorScheme();
  const navigate = useNavigate();
  const [over, setOver] = useState<{ x: number; y: number; text: string }>();
  // The picture is laid out anew when something comes or goes, not when a state changes.
  const shape = topology.elements.map(({ id, hosts }) => `${id}${hosts}`).join();
  // eslint-disable-next-line react-hooks/exhaustive-deps
  const layout = useMemo(() => layOut(topology), [shape]);

  const paint = useCallback(() => {
    if (canvas.current) draw(canvas.current, topology, layout, view.current, coloursOf(canvas.current));
  }, [topology, layout]);
  const latest = useRef(paint);
  useEffect(() => {
    latest.current = paint;
    paint();
  }, [paint, scheme]);

  const showWhole = useCallback(() => {
    const element = canvas.current;
    if (!element || !behaviour.current) return;
    const { x, y, k } = wholeView(layout, element.clientWidth, element.clientHeight);
    select(element).call((chosen) =>
      behaviour.current?.transform(chosen, zoomIdentity.translate(x, y).scale(k)),
    );
    moved.current = false;
  }, [layout]);

  useEffect(() => {
    const element = canvas.current;
    if (!element) return undefined;
    behaviour.current = zoom<HTMLCanvasElement, unknown>()
      .scaleExtent(SCALES)
      .on('zoom', ({ transform, sourceEvent }: D3ZoomEvent<HTMLCanvasElement, unknown>) => {
        view.current = transform;
        if (sourceEvent !== null) moved.current = true;
        latest.current();
      });
    const chosen = select(element).call(behaviour.current);
    const sized = new ResizeObserver(() => (moved.current ? latest.current() : showWhole()));
    sized.observe(element);
    return () => {
      sized.disconnect();
      chosen.on('.zoom', null);
    };
  }, [showWhole]);

  const hit = (event: { clientX: number; clientY: number }): Hit => {
    const box = canvas.current?.getBoundingClientRect();
    if (!box) return undefined;
    const { x, y, k } = view.current;
    return hitAt(layout, topology, (event.clientX - box.left - x) / k, (event.clientY - box.top - y) / k);
  };
  const onMove = (event: PointerEvent) => {
    const text = wordsOf(hit(event), topology);
    const box = canvas.current?.getBoundingClientRect();
    setOver(
      text === undefined || !box
        ? undefined
        : { x: event.clientX - box.left, y: event.clientY - box.top, text },
    );
  };
  const onPress = (event: { clientX: number; clientY: number }) => {
    const at = hit(event);
    const id = at && (at.kind === 'host' ? topology.hosts.ids[at.host] : topology.elements[at.element]?.id);
    if (id !== undefined) void navigate({ to: '/resources/$id', params: { id } });
  };
  const nearer = (factor: number) => {
    const element = canvas.current;
    if (element) select(element).call((chosen) => behaviour.current?.scaleBy(chosen, factor));
    moved.current = true;
  };
  return (
    <div className={css.picture}>
      {/* All that is in the picture is in the table beside it as well, where the keyboard leads. */}
      <canvas
        ref={canvas}
        className={css.canvas}
        // eslint-disable-next-line jsx-a11y/no-interactive-element-to-noninteractive-role
        role="img"
        aria-label={words.map.title}
        onPointerMove={onMove}
        onPointerLeave={() => setOver(undefined)}
        onClick={onPress}
      />
      {over && (
        <div className={css.over} style={{ left: over.x, top: over.y }}>
          {over.text}
        </div>
      )}
      <div className={css.tools}>
        <Button variant="default" aria-label={words.map.nearer} onClick={() => nearer(STEP)}>
          +
        </Button>
        <Button variant="default" aria-label={words.map.farther} onClick={() => nearer(1 / STEP)}>
          −
        </Button>
        <Button variant="default" onClick={showWhole}>
          {words.map.whole}
        </Button>
      </div>
    </div>
  );
}

/** What a thing of the picture is, and how it is. */
function wordsOf(at: Hit, { elements, hosts, applications }: TopologyView): string | undefined {
  if (!at) return undefined;
  if (at.kind === 'element') {
    const element = elements[at.element];
    return element && `${element.name} · ${words.kind[element.kind]} · ${words.state[element.condition]}`;
  }
  const used = hosts.used_percent[at.host];
  const on = (hosts.applications[at.host] ?? []).map((index) => applications[index] ?? '').slice(0, 4);
  return [
    hosts.names[at.host] ?? '',
    words.state[hosts.conditions[at.host] ?? 'unknown'],
    ...(typeof used === 'number' ? [words.map.used(used)] : []),
    ...on,
  ].join(' · ');
}
