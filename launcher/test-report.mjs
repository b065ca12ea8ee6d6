// @ts-check
/**
 * How many tests passed, from what the runners wrote. A runner that failed without a failed test counts as one: a file
 * that could not be loaded, an error outside of any test, a report that was never written. A runner that found nothing to
 * run failed, too: a green run of no tests is the easiest way to be wrong.
 *
 * @module
 */

/** @typedef {{ passed: number, failed: number, skipped: number }} Counts */

/**
 * @param {Counts} counts
 * @param {number} code
 * @returns {Counts}
 */
function honest(counts, code) {
  const isSilentFailure = counts.failed === 0 && (code !== 0 || counts.passed === 0)
  return isSilentFailure ? { ...counts, failed: 1 } : counts
}

/**
 * @param {string | undefined} text
 * @returns {any} the report; its shape is the runner's  -- any: each number below is converted
 */
function parse(text) {
  try {
    return JSON.parse(text ?? '')
  } catch {
    return undefined
  }
}

/**
 * @param {string | undefined} text  the JSON report
 * @param {number} code  exit status
 * @returns {Counts}
 */
export function countVitest(text, code) {
  const report = parse(text)
  /** @type {unknown[]} */
  const files = Array.isArray(report?.testResults) ? report.testResults : []
  const unloadable = files.filter((file) => isFailedFile(file)).length
  return honest(
    {
      passed: Number(report?.numPassedTests ?? 0),
      failed: Number(report?.numFailedTests ?? 0) + unloadable,
      skipped: Number(report?.numPendingTests ?? 0) + Number(report?.numTodoTests ?? 0),
    },
    code,
  )
}

/** @param {any} file  of the runner's report */
function isFailedFile(file) {
  return file?.status === 'failed' && Array.isArray(file.assertionResults) && file.assertionResults.length === 0
}

/**
 * @param {string | undefined} text
 * @param {number} code
 * @returns {Counts}
 */
export function countPlaywright(text, code) {
  const stats = parse(text)?.stats
  return honest(
    {
      passed: Number(stats?.expected ?? 0),
      // One that passed at the second try is a test that fails.
      failed: Number(stats?.unexpected ?? 0) + Number(stats?.flaky ?? 0),
      skipped: Number(stats?.skipped ?? 0),
    },
    code,
  )
}
