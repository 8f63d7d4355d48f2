// The vendor's own client, told where to go and with what; prints what it got as one JSON object.
// usage: node official_client.cjs <folder of node_modules> <base address> <API token> <first name of a person>
const [, , modules, base, apiKey, name] = process.argv;
const { createRequire } = require("node:module");
const load = createRequire(`${modules}/`);
const v1 = load("pipedrive/v1");
const v2 = load("pipedrive/v2");

async function every(ask) {
  const rows = [];
  let cursor;
  do {
    const page = await ask(cursor);
    rows.push(...page.data);
    cursor = page.additional_data && page.additional_data.next_cursor;
  } while (cursor);
  return rows;
}

async function main() {
  const newer = new v2.Configuration({ apiKey, basePath: `${base}/api/v2` });
  const older = new v1.Configuration({ apiKey, basePath: `${base}/v1` });
  const persons = new v2.PersonsApi(newer);
  const deals = new v2.DealsApi(newer);
  const listed = await every((cursor) => persons.getPersons({ limit: 50, cursor }));
  const open = await every((cursor) => deals.getDeals({ status: "open", limit: 5, cursor }));
  const fields = await every((cursor) => new v2.PersonFieldsApi(newer).getPersonFields({ limit: 20, cursor }));
  const found = await persons.searchPersons({ term: name, fields: "name" });
  const leads = await new v1.LeadsApi(older).getLeads({ limit: 500 });
  const users = await new v1.UsersApi(older).getUsers();
  let refused;
  try {
    await persons.getPerson({ id: 999999 });
  } catch (problem) {
    refused = problem.error;
  }
  const added = await persons.addPerson({
    AddPersonRequest: { name: "Emmy Noether", emails: [{ value: "emmy@example.org", primary: true, label: "work" }] },
  });
  const id = added.data.id;
  const changed = await persons.updatePerson({ id, UpdatePersonRequest: { name: "Amalie Noether" } });
  const gone = await persons.deletePerson({ id });
  console.log(JSON.stringify({
    persons: listed.map((one) => one.id),
    open: open.map((one) => one.id),
    fields: fields.map((one) => one.field_code),
    found: found.data.items.map((one) => one.item.id),
    leads: leads.data.length,
    users: users.data.length,
    refused,
    added: [added.data.name, added.data.emails[0].value],
    changed: changed.data.name,
    gone: gone.data.id === id,
  }));
}

main().catch((problem) => {
  console.error(problem.response ? JSON.stringify(problem.response.data) : problem);
  process.exit(1);
});
