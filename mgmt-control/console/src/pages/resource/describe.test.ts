import { describe as group, expect, it } from 'vitest';

import { describe, labelOf } from './describe';

group('a description', () => {
  it('names what it says as the documents do', () => {
    expect(labelOf('total_online_size')).toBe('Total online size');
    expect(labelOf('total_logical_cpus')).toBe('Total logical CPUs');
  });

  it('tells sizes, times and moments apart', () => {
    expect(
      describe({
        total_online_size: 1024,
        smp_size: 2,
        validity: 6,
        start_time: '2026-11-23T07:55:57.03Z',
        relayed: false,
        element: 'urn:uuid:01a2',
        extensions: ['<x/>'],
        place: null,
      }),
    ).toEqual([
      { label: 'Total online size', value: '1.0 KiB' },
      { label: 'SMP size', value: '2' },
      { label: 'Validity', value: '6.0 s' },
      { label: 'Start time', value: { time: '2026-11-23T07:55:57.03Z' } },
      { label: 'Relayed', value: 'no' },
      { label: 'Element', value: { link: '01a2' } },
    ]);
  });

  it('lays out what is nested, and takes markup for text', () => {
    expect(
      describe({
        capabilities: ['a', 'b'],
        file_systems: [{ root: '/data', available_space: 2048, size: 4096 }],
        main_memory: { ram_available: 1024 },
        name: '<b>x</b>',
      }),
    ).toEqual([
      { label: 'Capabilities', value: 'a, b' },
      { label: 'File systems /data · available space', value: '2.0 KiB' },
      { label: 'File systems /data · size', value: '4.0 KiB' },
      { label: 'Main memory · RAM available', value: '1.0 KiB' },
      { label: 'Name', value: '<b>x</b>' },
    ]);
  });
});
