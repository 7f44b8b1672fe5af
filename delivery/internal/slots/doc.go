// Package slots bounds what a process has in flight, and keeps requests from endpoints that
// fail.
//
//   - [Turns] gives out the slots of the process by [Share], and [FanOuts] bounds by it how
//     many attempts of large jobs are under way and in memory;
//   - [Limiter] has the slots of each endpoint: Acquire and Enter take one, Leave frees it;
//   - breaker.go decides what opens the circuit of an endpoint, and what its answers do to
//     the number of its slots;
//   - [Probes] makes one delivery the probe of an open circuit, over all engines;
//   - [Releaser] makes held deliveries due as slots of their endpoint and of their share become free. It frees no slot.
package slots
