//go:build unix

package pgserver

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAccount_CanUseTheClusterFolder(t *testing.T) {
	t.Parallel()
	open := clusterFolder(t)
	closed := filepath.Join(open, "closed")
	require.NoError(t, os.Mkdir(closed, 0o700))
	inside := filepath.Join(closed, "inside")
	require.NoError(t, os.Mkdir(inside, 0o700))
	require.NoError(t, os.Chmod(inside, 0o777))

	nobody := &account{uid: 65534, gid: 65534}
	require.NoError(t, nobody.canUse(open))
	require.ErrorContains(t, nobody.canUse(closed), "not open to the user")
	require.ErrorContains(t, nobody.canUse(inside), closed+": not open to the user")

	var ourselves *account
	require.NoError(t, ourselves.canUse(closed))
}

func TestAccount_IsAnotherUsersForRootOnly(t *testing.T) {
	t.Parallel()
	account, err := (&machine{uid: 1000}).serverAccount()
	require.NoError(t, err)
	require.Nil(t, account)

	account, err = (&machine{uid: 0}).serverAccount()
	require.NoError(t, err)
	require.NotZero(t, account.uid)
}
