// Package slots bounds what a process has in flight, and keeps requests from endpoints that
// fail.
//
//   - [Process] has the slots of the process, [FanOuts] those of large fan-outs;
//   - [Limiter] has the slots of each endpoint: Acquire and Enter take one, Leave frees it;
//   - breaker.go decides what opens the circuit of an endpoint, and what its answers do to
//     the number of its slots;
//   - [Probes] makes one delivery the probe of an open circuit, over all engines;
//   - [Releaser] makes held deliveries due as slots become free. It frees no slot.
package slots
