//go:build interop

package dialect_test

import "testing"

func TestReceivers_InPythonVerifyWhatDialectsSend(t *testing.T) {
	t.Parallel()
	for page, program := range receivers(t, "Python") {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			address := reserve(t)
			requireVerifies(t, page, address, "python3", "-c", listening(program, address))
		})
	}
}

func TestReceivers_InNodeVerifyWhatDialectsSend(t *testing.T) {
	t.Parallel()
	for page, program := range receivers(t, "Node") {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			address := reserve(t)
			requireVerifies(t, page, address, "node", "--input-type=module", "--eval", listening(program, address))
		})
	}
}
