// Package rates keeps requests within the rates of their subscriptions and of the owners of
// those, over all engines.
//
//   - [Leases] lets a request go out: an engine leases a few of a rate at a time, ahead of
//     when they may go out, and spends them in memory;
//   - account.go is what an engine has of one rate, without clock and database;
//   - [Releaser] lets held deliveries go on as fast as their rates allow.
//
// How far each rate is taken is in the table rate, by the generic cell rate algorithm (SQL
// function rate_step).
package rates
