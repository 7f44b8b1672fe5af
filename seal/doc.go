// Package seal keeps secrets out of the database in clear: whoever can read its
// tables, its backups or its replicas learns no signing secret.
//
// What is sealed is encrypted and authenticated, and bound to its place: a value
// that is copied to another row, or changed, does not open. The key is never in
// the database. It comes from the operator's secret manager:
//
//	keys, err := seal.ParseKeyset(os.Getenv("RIVERHOOK_KEYS"))
//	...
//	engine, err := delivery.New(pool, &delivery.Config{Sealer: keys})
//
// [NewKey] makes a key, and so does a shell:
//
//	echo "rhseal_$(openssl rand -base64 32)"
//
// A [Keyset] has one key or more: the first seals, all of them open. So a new key
// takes over without a pause: add it behind the old one in every process, move it
// to the front in every process, call Subscriptions.Reseal, and drop the old one.
//
// A [Sealer] can also be a key that never leaves a cloud's key management: an
// AEAD of Tink is one as it is. [Clear] is the plain choice to seal nothing.
//
// The package uses the standard library only.
package seal
