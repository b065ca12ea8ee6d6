/**
 * What an installation tells Prometheus: gauges that are read when they are asked for. Nothing here names a workspace, a
 * person or anything else that grows; a label has the few values it was declared with.
 *
 * @module
 */
import { Gauge, Registry } from 'prom-client'

import type { Log } from './log'

export interface GaugeFacts {
  readonly name: string
  readonly help: string
  /** Its one label and every value that may have. */
  readonly label?: { readonly name: string; readonly values: readonly string[] }
}

export interface Sample {
  readonly gauge: string
  readonly value: number
  readonly label?: string
}

export interface MetricSource {
  readonly gauges: readonly GaugeFacts[]
  /** Every sample there is now. A gauge without one is not shown, and of a source that fails none is. */
  read(): Promise<readonly Sample[]>
}

export interface Metrics {
  readonly contentType: string
  text(): Promise<string>
}

/** However often it is asked for, sources are not asked more often. */
const FRESH_MS = 2_000

export function createMetrics(deps: {
  readonly sources: readonly MetricSource[]
  readonly log: Log
  /** Of a monotonic clock. */
  readonly now?: () => number
}): Metrics {
  const { sources, log, now = () => performance.now() } = deps
  const registry = new Registry()
  const gauges = new Map<string, { readonly facts: GaugeFacts; readonly gauge: Gauge }>()
  for (const facts of sources.flatMap((source) => source.gauges))
    gauges.set(facts.name, {
      facts,
      gauge: new Gauge({
        name: facts.name,
        help: facts.help,
        labelNames: facts.label === undefined ? [] : [facts.label.name],
        registers: [registry],
      }),
    })

  const show = ({ gauge: name, value, label }: Sample) => {
    const known = gauges.get(name)
    if (known === undefined) return
    const { facts, gauge } = known
    if (facts.label === undefined) gauge.set(value)
    else if (label !== undefined && facts.label.values.includes(label)) gauge.set({ [facts.label.name]: label }, value)
  }
  const collect = async (): Promise<string> => {
    const read = await Promise.all(
      sources.map((source) =>
        source.read().catch((error: unknown) => {
          log.warn({ err: error }, 'metrics could not be read')
          return []
        }),
      ),
    )
    for (const { facts, gauge } of gauges.values())
      if (facts.label === undefined) gauge.remove()
      else gauge.reset()
    for (const sample of read.flat()) show(sample)
    return registry.metrics()
  }

  let last: { readonly at: number; readonly text: Promise<string> } | undefined
  return {
    contentType: registry.contentType,
    text: () => {
      if (last === undefined || now() - last.at >= FRESH_MS) last = { at: now(), text: collect() }
      return last.text
    },
  }
}
