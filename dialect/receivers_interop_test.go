//go:build interop

package dialect_test

import "testing"

func TestTheReceiversInPythonVerifyWhatDialectsSend(t *testing.T) {
	t.Parallel()
	for page, program := range receivers(t, "Python") {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			port := reserve(t)
			requireVerifies(t, page, port, "python3", "-c", listening(program, port))
		})
	}
}

func TestTheReceiversInNodeVerifyWhatDialectsSend(t *testing.T) {
	t.Parallel()
	for page, program := range receivers(t, "Node") {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			port := reserve(t)
			requireVerifies(t, page, port, "node", "--input-type=module", "--eval", listening(program, port))
		})
	}
}
