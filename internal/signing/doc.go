// Package signing has the secrets by which receivers know who has sent a webhook: one type for
// those who subscribe, those who sign and those who verify. Packages dialect and subscription
// export it. How a request is signed is in package dialect.
package signing
