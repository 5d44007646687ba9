import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { greet } from "./greeting.ts";

describe("a greeting", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("is said again until it is heard", () => {
    let count = 0;
    greet(() => (count += 1), () => count === 3);
    expect(count).toBe(1);
    vi.advanceTimersByTime(1900);
    expect(count).toBe(1);
    vi.advanceTimersByTime(200);
    expect(count).toBe(2);
    vi.advanceTimersByTime(4000);
    expect(count).toBe(3);
    vi.advanceTimersByTime(600_000);
    expect(count).toBe(3);
  });

  it("is said once a minute at last, and no more when its view is gone", () => {
    let count = 0;
    const end = greet(() => (count += 1), () => false);
    vi.advanceTimersByTime(600_000);
    expect(count).toBe(14);
    end();
    vi.advanceTimersByTime(600_000);
    expect(count).toBe(14);
  });
});
