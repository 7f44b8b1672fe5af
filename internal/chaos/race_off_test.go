//go:build !race

package chaos_test

const memoryFactor = 1
