//! Stand-ins of the outside over real HTTP: three sales channels with limits, a small EC2, and the ledger of what they saw.
