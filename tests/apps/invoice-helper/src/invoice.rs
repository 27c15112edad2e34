/// The invoice that the app knows, one `Name: value` a line.
pub const FACTS: &str = "\
Number: INV-2026-0417
Supplier: Nordlicht Papier AG
Customer: Blue Heron GmbH
Issue date: 2026-03-01
Due date: 2026-03-31
Net amount: 1,250.00 EUR
VAT: 237.50 EUR
Total: 1,487.50 EUR
Status: open
";

/// What `GET /ask` asks when it is not told: load generators need no questions of their own.
pub(crate) const SAMPLE_QUESTIONS: [&str; 5] = [
    "What is the total?",
    "When is it due?",
    "How much VAT is on it?",
    "Who is the customer, and is it still open?",
    "What did we buy for how much?",
];
