//go:build !race

package delivery_test

const memoryFactor = 1
