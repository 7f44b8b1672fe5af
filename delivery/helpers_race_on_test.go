//go:build race

package delivery_test

// memoryFactor is how much more memory a process takes with the race detector: up to
// some eight bytes of shadow for each.
const memoryFactor = 4
