// Package slots bounds what a process has in flight: requests of the process (Process)
// and attempts of its fan-outs (FanOuts).
package slots
