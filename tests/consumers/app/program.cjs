const { embed } = require('./embed.js');

embed(process.argv[2]).then((answer) => console.log(JSON.stringify(answer)));
