package receiver_test

import (
	"testing"

	"github.com/riverhook/riverhook/receiver"
	"github.com/riverhook/riverhook/receiver/receivertest"
)

func TestMemory_IsAnInbox(t *testing.T) {
	t.Parallel()
	receivertest.Run(t, func(t *testing.T, registry *receiver.Registry) receiver.Inbox {
		inbox := receiver.NewMemory(registry)
		t.Cleanup(inbox.Close)
		return inbox
	})
}
