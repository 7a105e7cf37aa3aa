// A reporter that says of each failed test in a few lines what it was and where, for the end of a long log.

const LINES = 6;
const LINE = 300;

export default async function* failures(source) {
  for await (const { type, data } of source) {
    if (type !== 'test:fail') continue;
    const error = data.details?.error;
    // A test that failed only because tests in it did has nothing to say.
    if (error?.failureType === 'subtestsFailed') continue;
    const causes = [];
    for (let cause = error?.cause ?? error; cause && causes.length < 3; cause = cause.cause) {
      const text = typeof cause === 'string' ? cause : (cause.message ?? String(cause));
      const place = /\(?(?:file:\/\/)?(\/[^()\s]*\/e2e\/[^()\s]+)\)?/.exec(cause.stack ?? '')?.[1].replace(/^.*\/e2e\//, '');
      causes.push(text + (place ? `\nat ${place}` : ''));
    }
    const lines = causes.join('\nbecause of: ').split('\n').filter((line) => line.trim() !== '');
    const told = lines.length > LINES ? [...lines.slice(0, LINES - 1), lines.at(-1)] : lines;
    yield `- ${data.name} (${Math.round((data.details?.duration_ms ?? 0) / 1000)} s)\n`;
    for (const line of told) yield `    ${line.slice(0, LINE)}\n`;
  }
}
