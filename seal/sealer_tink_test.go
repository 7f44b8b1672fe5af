package seal_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/riverhook/riverhook/seal"
)

// The two interfaces have the same methods: each is assignable to the other.
var (
	_ seal.Sealer = tink.AEAD(nil)
	_ tink.AEAD   = seal.Sealer(nil)
)

func TestSealer_AnAEADOfTinkIsOneAsItIs(t *testing.T) {
	t.Parallel()
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	require.NoError(t, err)
	primitive, err := aead.New(handle)
	require.NoError(t, err)
	var sealer seal.Sealer = primitive

	sealed, err := sealer.Encrypt([]byte("hunter2"), []byte("place"))
	require.NoError(t, err)
	opened, err := sealer.Decrypt(sealed, []byte("place"))
	require.NoError(t, err)
	require.Equal(t, "hunter2", string(opened))
	_, err = sealer.Decrypt(sealed, []byte("elsewhere"))
	require.Error(t, err)
}
