import type { Backend } from './backend';
import { httpBackend } from './http';

/** The one door to the network. The in-memory one is compiled in only for `dev:fake` and the tests. */
export async function openBackend(): Promise<Backend> {
  if (__FAKE__) {
    const { fakeBackend } = await import('./fake');
    return fakeBackend(new URLSearchParams(location.search));
  }
  return httpBackend();
}
