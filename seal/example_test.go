package seal_test

import (
	"fmt"
	"strings"

	"github.com/riverhook/riverhook/seal"
)

// A value opens at the place that it was sealed for, and nowhere else.
func ExampleParseKeyset() {
	fromSecretManager := seal.NewKey().Reveal()

	keys, err := seal.ParseKeyset(fromSecretManager)
	if err != nil {
		fmt.Println(err)
		return
	}
	sealed, err := keys.Encrypt([]byte("hunter2"), []byte("row 1"))
	fmt.Println(strings.Contains(string(sealed), "hunter2"), err)
	opened, err := keys.Decrypt(sealed, []byte("row 1"))
	fmt.Printf("%s %v\n", opened, err)
	_, err = keys.Decrypt(sealed, []byte("row 2"))
	fmt.Println(err)
	fmt.Println(keys)
	// Output:
	// false <nil>
	// hunter2 <nil>
	// seal: the ciphertext was changed, or sealed for another place
	// [redacted]
}

// A new key opens everywhere before it seals anywhere.
func ExampleNewKeyset() {
	old, next := seal.NewKey(), seal.NewKey()
	before, _ := seal.NewKeyset(old)
	during, _ := seal.NewKeyset(old, next)
	after, _ := seal.NewKeyset(next, old)

	sealed, _ := after.Encrypt([]byte("hunter2"), nil)
	_, err := before.Decrypt(sealed, nil)
	fmt.Println(err.Error() == seal.ErrNoKey.Error()+": "+next.ID())
	opened, err := during.Decrypt(sealed, nil)
	fmt.Printf("%s %v\n", opened, err)
	// Output:
	// true
	// hunter2 <nil>
}
